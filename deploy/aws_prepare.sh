#!/usr/bin/env bash
# Once for each AWS region: makes the security group of cluster.yaml and prints the two values to put there.
#
#     bash deploy/aws_prepare.sh REGION CIDR
#
# CIDR: the IPv4 addresses that may log in by SSH, such as your own with /32. Everything else, Ray's ports 6379,
# 8265 and 10001 included, is open only between the machines of the group. Needs the `aws` command, logged in.
set -euo pipefail

fail() { echo "aws_prepare: $1" >&2; exit 2; }

[ $# -eq 2 ] || fail "two arguments wanted: REGION CIDR, such as us-west-2 198.51.100.7/32 (your own address)"
region=$1
cidr=$2

[[ $cidr =~ ^([0-9]{1,3}\.){3}[0-9]{1,3}/([0-9]{1,2})$ ]] \
    || fail "'$cidr' is no IPv4 range; write a.b.c.d/n, for one address a.b.c.d/32"
[ "${BASH_REMATCH[2]}" -ge 16 ] && [ "${BASH_REMATCH[2]}" -le 32 ] \
    || fail "'$cidr' opens SSH to too many machines; give a range of /16 to /32"
case $cidr in
    203.0.113.*) fail "'$cidr' is the placeholder of the documentation; give the addresses that you log in from" ;;
esac
command -v aws >/dev/null || fail "the 'aws' command is missing; install the AWS CLI and log in"

vpc=$(aws ec2 describe-vpcs --region "$region" --filters Name=is-default,Values=true \
    --query 'Vpcs[0].VpcId' --output text)
case $vpc in vpc-*) ;; *) fail "region '$region' has no default VPC; make one with: aws ec2 create-default-vpc" ;; esac
group=$(aws ec2 create-security-group --region "$region" --vpc-id "$vpc" --group-name elemgrid-ray \
    --description "elemgrid: SSH from named addresses, all else inside" --query GroupId --output text)
aws ec2 authorize-security-group-ingress --region "$region" --group-id "$group" --ip-permissions \
    "IpProtocol=tcp,FromPort=22,ToPort=22,IpRanges=[{CidrIp=$cidr}]" \
    "IpProtocol=-1,UserIdGroupPairs=[{GroupId=$group}]" >/dev/null
# An image with Docker, the NVIDIA driver and its container toolkit; Ray's own default is Ubuntu 18.04.
image=$(aws ssm get-parameter --region "$region" --query Parameter.Value --output text \
    --name /aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id)

echo "region: $region"
echo "ImageId: &image $image"
echo "SecurityGroupIds: &firewall [$group]"

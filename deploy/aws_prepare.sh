#!/usr/bin/env bash
# Once for each AWS region: makes what cluster.yaml needs there, and writes its placeholders.
#
#     bash deploy/aws_prepare.sh REGION CIDR
#
# CIDR: the IPv4 addresses that may log in by SSH, such as your own with /32. Everything else, Ray's ports 6379,
# 8265 and 10001 included, is open only between the machines of the group. Needs the `aws` command, logged in.
# Run again, it takes what is there: a security group, an EFS file system for the run directories, with a way in
# from each subnet, an ECR repository for the image, and the roles of head and workers.
set -euo pipefail

fail() { echo "aws_prepare: $1" >&2; exit 2; }

[ $# -eq 2 ] || fail "two arguments wanted: REGION CIDR, such as us-west-2 198.51.100.7/32 (your own address)"
region=$1
cidr=$2

[[ $region =~ ^[a-z]{2}(-[a-z]+)+-[0-9]$ ]] || fail "'$region' is no region; write one such as us-west-2"
[[ $cidr =~ ^([0-9]{1,3}\.){3}[0-9]{1,3}/([0-9]{1,2})$ ]] \
    || fail "'$cidr' is no IPv4 range; write a.b.c.d/n, for one address a.b.c.d/32"
(( BASH_REMATCH[2] >= 16 && BASH_REMATCH[2] <= 32 )) \
    || fail "'$cidr' opens SSH to too many machines; give a range of /16 to /32"
case $cidr in
    203.0.113.*) fail "'$cidr' is the placeholder of the documentation; give the addresses that you log in from" ;;
esac
command -v aws >/dev/null || fail "the 'aws' command is missing; install the AWS CLI and log in"
file=$(dirname "$0")/../cluster.yaml
name=elemgrid

ask() { aws --region "$region" --output text "$@"; }

# What a query finds, or what is made where it finds nothing: `None` is how the CLI writes that.
found_or() { local found=$1; shift; if [ -z "$found" ] || [ "$found" = None ]; then "$@"; else echo "$found"; fi; }

vpc=$(ask ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId')
case $vpc in vpc-*) ;; *) fail "region '$region' has no default VPC; make one with: aws ec2 create-default-vpc" ;; esac
account=$(ask sts get-caller-identity --query Account)

make_group() {
    local made
    made=$(ask ec2 create-security-group --vpc-id "$vpc" --group-name elemgrid-ray \
        --description "elemgrid: SSH from named addresses, all else inside" --query GroupId)
    ask ec2 authorize-security-group-ingress --group-id "$made" --ip-permissions \
        "IpProtocol=tcp,FromPort=22,ToPort=22,IpRanges=[{CidrIp=$cidr}]" \
        "IpProtocol=-1,UserIdGroupPairs=[{GroupId=$made}]" >/dev/null
    echo "$made"
}
group=$(found_or "$(ask ec2 describe-security-groups --query 'SecurityGroups[0].GroupId' \
    --filters "Name=vpc-id,Values=$vpc" Name=group-name,Values=elemgrid-ray)" make_group)

# The run directories: one file system for all nodes. Its ways in stand in the group, so that only the nodes reach it.
make_files() {
    ask efs create-file-system --creation-token $name --encrypted --throughput-mode elastic \
        --tags Key=Name,Value=$name --query FileSystemId
}
files=$(found_or "$(ask efs describe-file-systems --creation-token $name --query 'FileSystems[0].FileSystemId')" make_files)
for _ in $(seq 60); do
    state=$(ask efs describe-file-systems --file-system-id "$files" --query 'FileSystems[0].LifeCycleState')
    [ "$state" = available ] && break
    sleep 2
done
[ "$state" = available ] || fail "the file system $files is '$state' after two minutes; run the same command again"
entered=$(ask efs describe-mount-targets --file-system-id "$files" --query 'MountTargets[].SubnetId')
for subnet in $(ask ec2 describe-subnets --query 'Subnets[].SubnetId' \
    --filters "Name=vpc-id,Values=$vpc" Name=default-for-az,Values=true); do
    case " ${entered//$'\t'/ } " in *" $subnet "*) continue ;; esac
    ask efs create-mount-target --file-system-id "$files" --subnet-id "$subnet" --security-groups "$group" >/dev/null
done

# The image: a tag that was pushed cannot be pushed again.
make_repository() {
    ask ecr create-repository --repository-name $name --image-tag-mutability IMMUTABLE --query repository.repositoryUri
}
repository=$(found_or "$(ask ecr describe-repositories --repository-names $name \
    --query 'repositories[0].repositoryUri' 2>/dev/null || true)" make_repository)

# Workers may read the image, and nothing else of the account; the head starts and ends them.
may_be_taken_by_machines='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
    "Principal":{"Service":"ec2.amazonaws.com"}}]}'
may_pass_workers='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:PassRole",
    "Resource":"arn:aws:iam::'$account':role/elemgrid-worker"}]}'
for role in elemgrid-worker elemgrid-head; do
    if ! ask iam get-role --role-name $role >/dev/null 2>&1; then
        ask iam create-role --role-name $role --assume-role-policy-document "$may_be_taken_by_machines" >/dev/null
    fi
    ask iam attach-role-policy --role-name $role \
        --policy-arn arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly
    if ! ask iam get-instance-profile --instance-profile-name $role >/dev/null 2>&1; then
        ask iam create-instance-profile --instance-profile-name $role >/dev/null
        ask iam add-role-to-instance-profile --instance-profile-name $role --role-name $role
    fi
done
ask iam attach-role-policy --role-name elemgrid-head --policy-arn arn:aws:iam::aws:policy/AmazonEC2FullAccess
ask iam put-role-policy --role-name elemgrid-head --policy-name start-workers --policy-document "$may_pass_workers"

# A machine image with Docker, the NVIDIA driver and its container toolkit; Ray's own default is Ubuntu 18.04.
image=$(ask ssm get-parameter --query Parameter.Value \
    --name /aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id)

sed -i -E \
    -e "s/\bami-[0-9a-f]{8,}\b/$image/" \
    -e "s/\bsg-[0-9a-f]{8,}\b/$group/" \
    -e "s/\bfs-[0-9a-f]{8,}\.efs\.[a-z0-9-]+\./$files.efs.$region./" \
    -e "s/\b[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\./$account.dkr.ecr.$region./" \
    -e "s/(arn:aws:iam::)[0-9]{12}:/\1$account:/" \
    -e "s/^(  region: ).*/\1$region/" \
    -e "s/(--region )[a-z0-9-]+/\1$region/" "$file"

echo "cluster.yaml has the values of $region:"
echo "  security group $group, SSH from $cidr alone"
echo "  file system $files, mounted at /shared"
echo "  roles elemgrid-head, elemgrid-worker; machine image $image"
echo "Next, the image:"
echo "  aws ecr get-login-password --region $region | docker login --username AWS --password-stdin ${repository%%/*}"
echo "  docker build -f deploy/Dockerfile -t $repository:0.1.0 dist && docker push $repository:0.1.0"
echo "  bash deploy/pin_images.sh cluster.yaml"
